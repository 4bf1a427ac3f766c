(function () {
  // bokeh-session-id and svc-updated have done their work: this page shows its session by its token.
  const url = new URL(window.location.href)
  url.searchParams.delete("bokeh-session-id")
  url.searchParams.delete("svc-updated")
  window.history.replaceState(window.history.state, "", url)
})()
