// Lists and boards of tasks: how many are marked, moving cards by mouse and keyboard.

import { say } from './page.js'

const on = addEventListener

// The list

function count() {
  const part = document.getElementById('tasks')
  const filter = document.getElementById('bulk-filter')
  if (!part || !filter) return
  filter.value = part.dataset.filter
  const marked = part.querySelectorAll('input[name=task]:checked').length
  document.querySelector('.bulk-count').textContent = marked ? `${marked} marked` : ''
}

on('change', count)
on('reset', () => setTimeout(count))
on('htmx:afterSettle', count)

// The board

let dragged = null
const cardOf = (target) => target.closest?.('.board-card')
const columnOf = (target) => target.closest?.('.column')

function move(card, column) {
  const select = card.querySelector('[name=status]')
  if (!select || columnOf(card) === column) return
  column.querySelector('.cards').prepend(card)
  select.value = column.dataset.status
  select.form.requestSubmit()
  const name = column.querySelector('h2 span:nth-of-type(2)').textContent
  document.getElementById('board-said').textContent = `${card.querySelector('a').textContent}: ${name}`
}

function step(card, by) {
  const columns = [...document.querySelectorAll('.column')]
  const next = columns[columns.indexOf(columnOf(card)) + by]
  if (!next) return
  move(card, next)
  card.querySelector('a').focus()
  card.scrollIntoView({ block: 'nearest', inline: 'nearest' })
}

function enter(column) {
  for (const each of document.querySelectorAll('.column')) each.classList.toggle('over', each === column)
}

on('dragstart', (event) => {
  dragged = cardOf(event.target)
  if (!dragged) return
  event.dataTransfer.setData('text/plain', dragged.querySelector('a').href)
  event.dataTransfer.effectAllowed = 'move'
  dragged.classList.add('dragged')
})
on('dragover', (event) => {
  const column = dragged && columnOf(event.target)
  enter(column)
  if (column) event.preventDefault()
})
on('drop', (event) => {
  const column = dragged && columnOf(event.target)
  if (!column) return
  event.preventDefault()
  move(dragged, column)
})
on('dragend', () => {
  dragged?.classList.remove('dragged')
  dragged = null
  enter()
})
on('keydown', (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
  const card = cardOf(event.target)
  if (by && card && event.shiftKey && !event.target.matches('select')) event.preventDefault(step(card, by))
})
// What could not be moved goes back: the board is shown again as it is.
on('htmx:afterRequest', ({ detail, target }) => {
  const board = document.getElementById('board')
  if (board && target.matches?.('.move') && !detail.successful) {
    say('It could not be moved.', 'error')
    htmx.trigger(board, 'live')
  }
})
