// Photos: a grid, and one photo large over the page.

// The grid: far from the window a chunk is emptied and keeps its height; near it again, it is asked for.

const on = addEventListener
const near = new Set()
const watch = new IntersectionObserver((entries) => entries.forEach(place), { rootMargin: '1500px' })
function place({ target: chunk, isIntersecting, boundingClientRect }) {
  if (isIntersecting) {
    near.add(chunk)
    if (!chunk.querySelector('.tile')) htmx.trigger(chunk, 'near')
  } else if (near.has(chunk) && !chunk.contains(document.activeElement)) {
    near.delete(chunk)
    chunk.style.height = `${boundingClientRect.height}px`
    chunk.replaceChildren()
  }
}

const observe = () => document.querySelectorAll('.chunk').forEach((chunk) => watch.observe(chunk))

// A photo moves once it is known when it was taken, so all near chunks are asked for, once for many that come.
let timer = 0
function refresh() {
  timer = 0
  for (const chunk of near) htmx.trigger(chunk, 'near')
}
document.getElementById('grid')?.addEventListener('live', () => (timer ||= setTimeout(refresh, 1000)))
on('htmx:afterSettle', observe)
// What failed is asked for again.
on('htmx:afterRequest', ({ target, detail: { xhr } }) => {
  if (near.has(target) && (!xhr.status || xhr.status > 499)) setTimeout(() => htmx.trigger(target, 'near'), 8000)
})
observe()

// One photo: its address is pushed once, so that Back closes it from anywhere.

const panel = document.getElementById('viewer')
const title = document.title
const others = [...document.querySelectorAll('.side, .tray'), ...panel.parentElement.children].filter((part) => part !== panel)
const isOver = panel.hidden
const find = (selector) => panel.querySelector(selector)

// Until what was asked for is there, nothing is done to what still stands there, and keys wait.
const keys = []
let busy = 0
function hold(by) {
  busy += by
  for (const part of panel.querySelectorAll('[rel], form')) part.inert = busy
  if (!busy && panel.hidden) panel.replaceChildren()
  while (!busy && keys.length) panel.dispatchEvent(new KeyboardEvent('keydown', { key: keys.shift(), bubbles: true }))
}

async function show(href) {
  hold(1)
  await htmx.ajax('GET', href, { target: panel, swap: 'innerHTML' }).catch(() => {})
  if (location.href === href) find('#photo') ? reveal() : history.back()
  hold(-1)
}

function reveal() {
  cover(true)
  for (const { dataset } of panel.querySelectorAll('[rel][data-photo^="/"]')) new Image().src = dataset.photo
}

function cover(on) {
  panel.hidden = !on
  panel.classList.toggle('over', isOver)
  for (const part of others) part.inert = on && isOver
  panel.focus({ preventScroll: true })
}

function close() {
  keys.length = 0
  cover(false)
  document.title = title
  document.querySelector(`#photo-${find('#photo')?.dataset.photoId} a`)?.focus()
  hold(0)
}

on('click', (event) => {
  const link = event.target.closest('a[data-photo], a[data-closes]')
  const closes = link?.matches('[data-closes]')
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || (closes && !isOver)) return
  event.preventDefault()
  if (closes) return history.back()
  history[panel.contains(link) ? 'replaceState' : 'pushState']({}, '', link.href)
  show(link.href)
})
on('popstate', () => {
  if (isOver) location.pathname.startsWith('/web/photos/') ? show(location.href) : close()
})
on('photo-gone', () => panel.hidden || (find('[rel=next]') ?? find('[rel=prev]') ?? find('.close'))?.click())
on('htmx:beforeRequest', ({ detail: { requestConfig, xhr } }) => {
  if (!requestConfig.elt.matches('#viewer [hx-swap=none]')) return
  hold(1)
  xhr.onloadend = () => hold(-1)
})
on('keydown', (event) => {
  if (!busy || panel.hidden || event.ctrlKey || event.metaKey || !/^(Arrow|Delete|\w$)/.test(event.key)) return
  keys.push(event.key)
  event.stopImmediatePropagation()
}, true)

panel.onkeydown = ({ key, target }) => {
  if (target.id !== 'caption' || key !== 'Escape') return
  target.value = target.defaultValue
  panel.focus()
}

// A swipe; with two fingers, or when zoomed in, one looks around.
let start = null
panel.onpointerdown = (event) => {
  start = event.pointerType === 'touch' && event.isPrimary && visualViewport.scale === 1 && event.target.closest('.stage') && event
}
panel.onpointerup = ({ clientX, clientY }) => {
  const across = start ? clientX - start.clientX : 0
  if (Math.abs(across) > 50 && Math.abs(across) > 2 * Math.abs(clientY - start.clientY)) find(across > 0 ? '[rel=prev]' : '[rel=next]')?.click()
}
