// BokehJS connects for the first time: it gets the socket that early_socket.js has opened, with what came through it
// meanwhile. A socket for anything else, or one that has failed, is let go of, and BokehJS opens one as ever.
(function () {
  const early = window.svc_early_socket
  if (early == null) return
  delete window.svc_early_socket
  const {token, url, socket, heard, hear} = early
  let connection
  try {
    connection = Bokeh.require("client/connection").ClientConnection.prototype
  } catch (error) {
    connection = {}
  }
  const {connect} = connection
  if (typeof connect != "function") {
    socket.close()
    return
  }

  connection.connect = function () {
    connection.connect = connect
    const wanted = this.args_string ? `${this.url}?${this.args_string}` : this.url
    const is_usable = socket.readyState == WebSocket.CONNECTING || socket.readyState == WebSocket.OPEN
    if (this.token == token && wanted == url && is_usable) return adopt(this)
    socket.close()
    return connect.call(this)
  }

  function adopt(connection) {
    // BokehJS (3.9, 3.10) makes its socket and sets its handlers before `connect` returns; nobody else runs meanwhile.
    const {WebSocket} = window
    window.WebSocket = function () {
      return socket
    }
    let connected
    try {
      connected = connect.call(connection)
    } finally {
      window.WebSocket = WebSocket
    }
    socket.removeEventListener("message", hear)
    if (socket.readyState == WebSocket.OPEN) {
      socket.onopen(new Event("open"))
      for (const event of heard) socket.onmessage(event)
    }
    return connected
  }
})()
