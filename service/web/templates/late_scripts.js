// A page of BokehJS loads bundles for whatever a Document may hold, and most Documents need few of them. Those that
// no Document of this app has needed so far come when somebody needs them, or else once the page has been drawn:
//
// - A message of the server that brings a model of a class that is not there waits for the bundles with models,
//   and the messages behind it wait with it, in order.
// - A canvas drawn by WebGL waits for "bokeh-gl" before it is set up, whoever made it.
// - JavaScript, such as a CustomJS, may ask by any name at any time, and needs its answer at once: it is loaded while
//   the page waits, as a script in the head is.
// - MathJax is asked for by BokehJS itself, through its provider, before it draws a widget or a text.
//
// What cannot be loaded is said in the console, and is missing, as a model of an unknown type is.
(function (bundles) {
  const REST_AT_THE_LATEST = 5000 // ms; some pages are never idle
  const GIVE_UP = 30000 // ms; then messages go on as if the script could not be fetched

  // Relative ones are meant from where the page was loaded, which its scripts may change.
  for (const bundle of bundles) bundle.url = new URL(bundle.url, document.baseURI).href

  let resolver, connection, canvas, provider
  try {
    resolver = Bokeh.require("base").default_resolver
    connection = Bokeh.require("client/connection").ClientConnection.prototype
    canvas = Bokeh.require("models/canvas/canvas").CanvasView.prototype
    provider = Bokeh.require("models/text/providers").default_provider
    const used = [resolver.get, connection._steady_state_handler, canvas.lazy_initialize, provider.fetch]
    if (!used.every((each) => typeof each == "function")) throw new Error("another BokehJS")
  } catch (error) {
    // As if this script were not there.
    for (const {url} of bundles) document.write(`<script src="${url}"><\/script>`)
    return
  }

  const late = (...names) => bundles.filter((each) => names.includes(each.name) && !each.loaded)
  const late_models = () => late("bokeh-widgets", "bokeh-tables")
  const all_but_mathjax = () => late("bokeh-gl", "bokeh-widgets", "bokeh-tables")

  // A task of its own, as each message of a socket has: timers would be slow in a tab that nobody looks at.
  const next_task = () => new Promise((done) => {
    const channel = new MessageChannel()
    channel.port1.onmessage = () => {
      channel.port1.close()
      done()
    }
    channel.port2.postMessage(null)
  })

  // Loading a bundle

  const scripts = new WeakSet() // ours

  function append(script) {
    scripts.add(script)
    document.head.appendChild(script)
  }

  // Settles when the bundle is there, or else has failed; then the next one who needs it tries again.
  function load(bundle) {
    bundle.loading ??= new Promise((done, failed) => {
      const script = document.createElement("script")
      script.src = bundle.url
      script.async = false // of several, one after another
      script.onload = () => {
        bundle.loaded = true
        done()
      }
      script.onerror = () => failed("it could not be fetched")
      setTimeout(() => failed(`no answer within ${GIVE_UP / 1000} s`), GIVE_UP)
      append(script)
    }).catch((why) => is_missing(bundle, why))
    return bundle.loading
  }

  function is_missing(bundle, why) {
    if (bundle.loaded) return
    bundle.loading = null
    bundle.failed_at = Date.now()
    const text = `${bundle.name} is not there, and what needs it will fail: ${why} (${bundle.url})`
    if (bundle.is_needed) console.error(text)
    else console.warn(text)
  }

  // For those who need the bundles to go on.
  function load_needed(wanted) {
    for (const bundle of wanted) bundle.is_needed = true
    return load_all(wanted)
  }

  const load_all = (wanted) => Promise.all(wanted.map(load))

  // Returns when the bundle is there. Where it has just failed, waiting for it again would only stop the page.
  function load_now(bundle) {
    if (bundle.loaded || Date.now() - bundle.failed_at < GIVE_UP) return
    bundle.is_needed = true
    const request = new XMLHttpRequest()
    request.open("GET", bundle.url, false)
    try {
      request.send()
    } catch (error) {
      return is_missing(bundle, error)
    }
    if (request.status != 200) return is_missing(bundle, `HTTP ${request.status}`)
    const script = document.createElement("script")
    script.textContent = request.responseText
    append(script) // runs it
    bundle.loaded = true
  }

  // Loads one after another until `find` finds something.
  function load_until(find, wanted) {
    for (const bundle of wanted) {
      load_now(bundle)
      const found = find()
      if (found != null) return found
    }
    return null
  }

  // Who asks by name

  let in_bundle = 0 // a bundle asks for the names of its own classes, to see whether they are free
  const class_of = (name) => Object.getPrototypeOf(resolver).get.call(resolver, name)

  // Bokeh's own are named like this; all others have a module before it.
  const may_be_late = (name) => typeof name == "string" && /^[A-Z]\w*$/.test(name) && class_of(name) == null

  resolver.get = (name) => {
    if (in_bundle == 0 && late_models().length != 0 && may_be_late(name)) {
      load_until(() => class_of(name), late_models())
    }
    return class_of(name)
  }

  const names = () => Object.getOwnPropertyDescriptor(Object.getPrototypeOf(resolver), "names").get.call(resolver)
  Object.defineProperty(resolver, "names", {
    configurable: true,
    get: () => {
      late_models().forEach(load_now)
      return names()
    },
  })

  const {require, register_plugin} = Bokeh

  Bokeh.require = Object.assign((name) => {
    const find = () => {
      try {
        return {exports: require(name)}
      } catch (error) {
        if (error.code != "MODULE_NOT_FOUND") throw error
        return null
      }
    }
    const found = find() ?? load_until(find, bundles.filter((each) => !each.loaded))
    return found != null ? found.exports : require(name)
  }, require)
  Bokeh.loader = new Proxy({}, {get: (_, name) => Bokeh.require(name)})

  // Extensions may be linked against any bundle of Bokeh's, so those come first.
  Bokeh.register_plugin = (...args) => {
    if (!scripts.has(document.currentScript)) all_but_mathjax().forEach(load_now)
    in_bundle += 1
    try {
      return register_plugin(...args)
    } finally {
      in_bundle -= 1
    }
  }

  // `Bokeh.Widgets` and `Bokeh.Tables`
  for (const bundle of late_models()) {
    const name = bundle.name == "bokeh-tables" ? "Tables" : "Widgets"
    const set = (value) =>
      Object.defineProperty(Bokeh, name, {configurable: true, enumerable: true, writable: true, value})
    const get = () => {
      load_now(bundle)
      const at = Object.getOwnPropertyDescriptor(Bokeh, name)
      return "value" in at ? at.value : undefined
    }
    Object.defineProperty(Bokeh, name, {configurable: true, enumerable: true, get, set})
  }

  // Who draws

  const lazy_initialize = canvas.lazy_initialize
  canvas.lazy_initialize = async function () {
    if (this.model.output_backend == "webgl") await load_needed(late("bokeh-gl"))
    return lazy_initialize.call(this)
  }

  // Who brings models: messages of the server

  const handle = connection._steady_state_handler
  const queues = new WeakMap() // per connection: messages that wait

  function brings_late_model(value) {
    if (value == null || typeof value != "object" || ArrayBuffer.isView(value)) return false
    if (Array.isArray(value)) return value.some(brings_late_model)
    if (value.type == "object" && may_be_late(value.name)) return true
    return Object.values(value).some(brings_late_model)
  }

  const has_to_wait = (message) => late_models().length != 0 && brings_late_model(message.content)

  connection._steady_state_handler = function (message) {
    const queue = queues.get(this)
    if (queue != null) queue.push(message)
    else if (!has_to_wait(message)) hand_on(this, message)
    else {
      queues.set(this, [message])
      deliver(this)
    }
  }

  async function deliver(connection) {
    const queue = queues.get(connection)
    try {
      if (has_to_wait(queue[0])) await load_needed(late_models())
      await next_task() // what the message before this one has begun is done first
      hand_on(connection, queue.shift())
    } finally {
      if (queue.length != 0) deliver(connection)
      else queues.delete(connection)
    }
  }

  function hand_on(connection, message) {
    watch()
    handle.call(connection, message)
  }

  // The rest, once the page is drawn and answers to its user: a bundle takes some hundredths of a second to start.

  let is_watched = false

  async function watch() {
    if (is_watched) return
    is_watched = true
    setTimeout(load_rest, REST_AT_THE_LATEST)
    await next_task() // the Document is made of this message
    for (const each of Bokeh.documents) {
      if (each.is_idle) when_quiet(load_rest)
      else each.idle.connect(() => when_quiet(load_rest))
    }
  }

  function when_quiet(action) {
    if (window.requestIdleCallback) requestAnimationFrame(() => requestIdleCallback(action, {timeout: 2000}))
    else setTimeout(action, 500)
  }

  const load_rest = () => load_all(all_but_mathjax())

  // MathJax: a Document with what may be TeX gets it before it is drawn, as if it had been there

  const fetch = provider.fetch.bind(provider)
  let fetching = null

  // `fetch` looks for it, and tells those who wait.
  function load_mathjax() {
    const [bundle] = bundles.filter((each) => each.name == "bokeh-mathjax")
    fetching ??= load(bundle).then(() => (bundle.loaded ? fetch() : (fetching = null)))
    return fetching
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
  async function provide() {
    const models = Bokeh.documents.flatMap((each) => [...each.all_models])
    if (models.length != looked_at) {
      looked_at = models.length
      is_needed ||= models.some(shows_formulas)
      for (const each of Bokeh.documents) each.idle.connect(() => when_quiet(load_mathjax))
      setTimeout(load_mathjax, REST_AT_THE_LATEST)
    }
    if (is_needed) {
      late("bokeh-mathjax").forEach((each) => (each.is_needed = true))
      await load_mathjax()
    }
  }

  if (late("bokeh-mathjax").length != 0) provider.fetch = provide
})
