// The keyboard: the palette (Ctrl-K), the list of keys (?), rows (j, k, x), and any element with data-key.

const palette = document.getElementById('palette')
const keys = document.getElementById('keys')
const search = palette.querySelector('input')
let before = ''
const SIGNS = { ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc', Delete: 'Del' }

const typing = (target) => target.matches('textarea, select, input:not([type=checkbox])')

// What is under something else has no keys meanwhile.
const withKeys = () => [...document.querySelectorAll('[data-key]')].filter((part) => !part.closest('[inert], [hidden]'))

function act(key) {
  const sequence = before === 'g' ? `g ${key}` : key
  before = key
  const row = document.activeElement.closest('[data-row]')
  const all = withKeys().filter((part) => part.dataset.key === sequence)
  const found = all.find((part) => row?.contains(part)) ?? all[0]
  if (!found) return false
  before = ''
  found[found.matches('input, textarea, select') ? 'focus' : 'click']()
  return true
}

function step(by) {
  const rows = [...document.querySelectorAll('[data-row]')].filter((row) => row.offsetParent)
  const here = rows.indexOf(document.activeElement.closest('[data-row]'))
  const next = rows[here + by] ?? rows[here] ?? rows[0]
  next?.querySelector('a')?.focus()
  return rows.length > 0
}

function mark() {
  const box = document.activeElement.closest('[data-row]')?.querySelector('input[type=checkbox]')
  box?.click()
  return Boolean(box)
}

function open() {
  if (palette.open) return palette.close()
  palette.showModal()
  search.value = ''
  search.dispatchEvent(new Event('opened'))
}

function list() {
  const rows = withKeys().filter((part) => !part.closest('[data-row]')).map((part) => {
    const line = document.createElement('tr')
    const name = part.dataset.does ?? part.getAttribute('aria-label') ?? part.textContent
    line.innerHTML = '<td></td><th scope="row"></th>'
    line.firstChild.append(...part.dataset.key.split(' ').map((key) => Object.assign(document.createElement('kbd'), { textContent: SIGNS[key] ?? key })))
    line.lastChild.textContent = name.trim()
    return line
  })
  keys.querySelector('tbody').replaceChildren(...rows)
  keys.showModal()
}

function choose(by) {
  const links = [...palette.querySelectorAll('[role=option]')]
  const here = links.findIndex((link) => link.ariaSelected === 'true')
  const next = (here + by + links.length) % (links.length || 1)
  links.forEach((link, at) => (link.ariaSelected = String(at === next)))
  links[next]?.scrollIntoView({ block: 'nearest' })
  search.setAttribute('aria-activedescendant', links[next]?.id ?? '')
}

addEventListener('keydown', (event) => {
  const { key, target } = event
  if ((event.metaKey || event.ctrlKey) && key.toLowerCase() === 'k') {
    event.preventDefault()
    return open()
  }
  if (event.metaKey || event.ctrlKey || event.altKey || typing(target) || document.querySelector('dialog[open]')) return
  const done = key === '?' ? (list(), true) : key === 'j' ? step(1) : key === 'k' ? step(-1) : key === 'x' && mark()
  if (done || act(key)) event.preventDefault()
})

search.onkeydown = (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  if (by) choose(by)
  else if (event.key === 'Enter') palette.querySelector('[role=option][aria-selected=true]')?.click()
  else return
  event.preventDefault()
}
palette.addEventListener('htmx:afterSwap', () => choose(1))
document.querySelector('[data-opens=palette]').onclick = (event) => open(event.preventDefault())
addEventListener('click', ({ target }) => target.matches('dialog') && target.close())
