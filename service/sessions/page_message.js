// Shows a message over the page: what it is about, details, and buttons. One of each kind, the last one said; without
// a title it goes.
const message = JSON.parse(cb_obj.tags[0])
const make = (tag, style, text) => {
  const element = document.createElement(tag)
  element.style.cssText = style
  if (text != null) element.textContent = text
  return element
}
const id = `svc-${message.kind}`
document.getElementById(id)?.remove()
if (!message.title) return
const box = make("div", "position: fixed; bottom: 1em; right: 1em; z-index: 10000; max-width: min(60em, 90vw); " +
  "max-height: 80vh; overflow: auto; padding: 1em; background: #fff8e1; color: #222; border: 1px solid #e0c060; " +
  "border-radius: 4px; font: 14px sans-serif")
box.id = id
box.setAttribute("role", "alert")
box.append(make("div", "font-weight: bold", message.title))
if (message.text) box.append(make("pre", "margin: 0.5em 0; white-space: pre-wrap; overflow-wrap: anywhere", message.text))
const button = (label, action) => {
  const made = make("button", "margin: 0.5em 0.5em 0 0", label)
  made.type = "button"
  made.addEventListener("click", action)
  box.append(made)
}
if (message.reload) button(message.reload, () => window.location.reload())
button("Close", () => box.remove())
document.body.append(box)
