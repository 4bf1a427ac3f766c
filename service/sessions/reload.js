// Loads the page again, for the same session. Without a place to remember that it did so, and a second time
// within a minute, it leaves that to the button: a page must not load again for ever.
function load() {
  const url = new URL(window.location.href)
  url.searchParams.set("bokeh-session-id", session.session_id)
  url.searchParams.set(session.argument, "1")
  window.location.replace(url)
}
function load_once() {
  const name = `svc-updated:${session.name}`
  try {
    const last = Number(window.sessionStorage.getItem(name) ?? 0)
    if (Date.now() - last < 60000) return
    window.sessionStorage.setItem(name, String(Date.now()))
  } catch {
    return
  }
  load()
}
