// MathJax is most of what a page of BokehJS loads, and few pages show formulas. So it is loaded when somebody
// needs it, or else once the page has been drawn. BokehJS 3.9 asks its provider for it before it draws a widget,
// and waits for the answer: a Document with what may be TeX gets it before it is drawn, as if it had been there.
(function (url) {
  let provider
  try {
    provider = Bokeh.require("models/text/providers").default_provider
  } catch (error) {
    document.write(`<script src="${url}"><\/script>`) // another BokehJS: as if this script were not there
    return
  }
  const fetch = provider.fetch.bind(provider)
  let loaded = null

  function load() {
    loaded ??= new Promise((done, failed) => {
      const script = document.createElement("script")
      script.src = url
      script.onload = done
      script.onerror = failed
      document.head.appendChild(script)
    }).then(fetch, () => (loaded = null)) // fetch looks for it, and tells those who wait
    return loaded
  }

  // It takes a tenth of a second to start: first what is drawn is shown, and answers to its user.
  function when_quiet() {
    if (window.requestIdleCallback) requestAnimationFrame(() => requestIdleCallback(load, {timeout: 2000}))
    else setTimeout(load, 500)
  }

  const may_be_tex = (text) => text.includes("$$") || text.includes("\\")

  function has_tex(value, depth = 0) {
    if (typeof value == "string") return may_be_tex(value)
    if (value == null || typeof value != "object" || depth > 3) return false
    if (Array.isArray(value)) return value.some((each) => has_tex(each, depth + 1))
    if (value instanceof Map) return has_tex([...value.values()], depth)
    return Object.getPrototypeOf(value) == Object.prototype && has_tex(Object.values(value), depth)
  }

  function shows_formulas(model) {
    return /^(TeX|MathML|Ascii)/.test(model.type) || has_tex(Object.values(model.attributes))
  }

  let looked_at = 0
  let is_needed = false

  // Asked for each widget, mostly for many in a row.
  provider.fetch = async () => {
    const models = Bokeh.documents.flatMap((each) => [...each.all_models])
    if (models.length != looked_at) {
      looked_at = models.length
      is_needed ||= models.some(shows_formulas)
      for (const each of Bokeh.documents) each.idle.connect(when_quiet)
      setTimeout(load, 5000) // at the latest: some pages are never idle
    }
    if (is_needed) await load()
  }
})
