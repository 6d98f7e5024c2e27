// What every page has: times, live parts, the palette, messages.

import './times.js'
import { isTyped } from './live.js'
import './palette.js'

// A live part that is refreshed keeps what a person did to it: marks, typed text, what is folded open.
const keeps = {
  open: () => true,
  checked: (node) => node.matches('.mark input, [type=radio]'),
  // What was seen is what the field after it began with.
  value: (node) => isTyped(node.name === 'seen' ? node.nextElementSibling : node),
}
Idiomorph.defaults.ignoreActiveValue = true
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !keeps[name]?.(node)

const { body } = document
const on = addEventListener
const region = document.getElementById('messages')

// `undo` is the address that takes back what was done.
export function say(text, kind = 'done', undo = '') {
  const message = document.createElement('p')
  message.className = `message ${kind}`
  message.textContent = text
  if (undo) {
    message.insertAdjacentHTML('beforeend', ` <button class="button quiet small" data-key="z" hx-post="${undo}" hx-swap="none">Undo</button>`)
    message.addEventListener('htmx:afterRequest', () => message.remove())
    htmx.process(message)
  }
  region.prepend(message)
  setTimeout(() => message.remove(), undo ? 20000 : kind === 'error' ? 12000 : 5000)
}

on('say', (event) => say(event.detail.text, event.detail.kind, event.detail.undo))
on('htmx:sendError', () => say('The service does not answer. What you typed is still here.', 'error'))
on('htmx:responseError', ({ detail }) => {
  if (detail.xhr.status >= 500) say('Something went wrong. Nothing was changed; try again.', 'error')
})
for (const message of document.querySelectorAll('.message')) setTimeout(() => message.remove(), 6000)

// <input data-submits>: a change sends its form. By keys, half a date is a change too: that waits for Enter, or until
// one goes on.
let byKey, waiting
function send() {
  waiting?.form.requestSubmit()
  waiting = null
}
on('pointerdown', () => (byKey = null))
on('keydown', (event) => {
  // Space and Enter choose, as the pointer does.
  byKey = / |Enter/.test(event.key) || event.target
  if (event.key !== 'Enter') return
  if ((event.ctrlKey || event.metaKey) && event.target.matches('[data-sends]')) waiting = event.target
  if (waiting) event.preventDefault(send())
})
on('focusout', send)
on('change', ({ target }) => {
  if (!target.matches('[data-submits]')) return
  waiting = target
  if (target !== byKey) send()
})
// <button data-copies="…">: copies that text.
on('click', async ({ target }) => {
  const button = target.closest('[data-copies]')
  if (!button) return
  await navigator.clipboard.writeText(button.dataset.copies)
  say('Copied.')
})
// A page older than the sign-in was refused; the next try counts.
on('token', ({ detail: { user, headers } }) => {
  if (user === body.dataset.user) body.setAttribute('hx-headers', headers)
})
