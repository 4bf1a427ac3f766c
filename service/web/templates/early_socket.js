// The server runs the app when the page's socket opens. BokehJS opens it when all scripts have been compiled and
// started; this opens it before they come, so that the app runs meanwhile. adopt_socket.js hands it to BokehJS.
(function (token) {
  const {protocol, host, pathname, search} = window.location
  const path = pathname.replace(/\/+$/, "")
  const url = `${protocol == "https:" ? "wss:" : "ws:"}//${host}${path}/ws${search.length > 1 ? search : ""}`
  const socket = new WebSocket(url, ["bokeh", token])
  socket.binaryType = "arraybuffer"
  const heard = []
  const hear = (event) => heard.push(event)
  socket.addEventListener("message", hear)
  window.svc_early_socket = {token, url, socket, heard, hear}
})
