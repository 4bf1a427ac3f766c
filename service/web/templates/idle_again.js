// BokehJS (3.9, 3.10) notes once in its life that a Document is idle: one that is pulled anew, as after a reconnect,
// never is again. Panel (1.10) changes the page's address only while it is. The server has had its event already.
(function () {
  let proto
  try {
    proto = Bokeh.require("document/document").Document.prototype
  } catch (error) {
    return
  }
  const {notify_idle} = proto
  if (typeof notify_idle != "function") return
  proto.notify_idle = function (model) {
    notify_idle.call(this, model)
    const {_notified_idle: was_idle, _idle_roots: idle} = this
    if (!was_idle || idle?.has(model) !== false || !this.roots().includes(model)) return
    idle.add(model)
    if (this.is_idle) this.idle.emit()
  }
})()
