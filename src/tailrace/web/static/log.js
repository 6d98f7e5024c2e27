// The service's log as it is written: /logs gives the last lines, then each new one.

import { read } from './live.js'

const list = document.getElementById('service-log')
const filter = document.getElementById('log-filter')
const pause = document.getElementById('log-pause')
const LEVELS = ['debug', 'info', 'warning', 'error', 'critical']
const KEPT = 2000
let held = []

function element(name, className, text) {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}

function entry(line) {
  const { at = '', level = '', logger = '', message = '', ...rest } = JSON.parse(line)
  const row = element('details', `log-entry log-${level}`, '')
  const summary = element('summary', '', '')
  summary.append(element('span', 'log-at', at.slice(11, 19)), ' ', element('span', 'log-level', level), ' ', element('span', 'log-text', message))
  const more = Object.entries(rest).map(([name, value]) => `${name}: ${value}`)
  row.append(summary, element('pre', '', [`${at} ${logger}`, ...more].join('\n')))
  row.hidden = !matches(row)
  return row
}

function matches(row) {
  const least = LEVELS.indexOf(filter.level.value)
  const own = LEVELS.findIndex((level) => row.classList.contains(`log-${level}`))
  return (own < 0 || own >= least) && row.textContent.toLowerCase().includes(filter.q.value.toLowerCase())
}

function add(lines) {
  if (pause.ariaPressed === 'true') return void held.push(...lines)
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40
  list.append(...lines.map(entry))
  while (list.childElementCount > KEPT) list.firstElementChild.remove()
  if (atEnd) list.scrollTop = list.scrollHeight
}

async function follow(count) {
  const answer = await fetch(`/logs?lines=${count}&follow=1`)
  if (!answer.ok) throw new Error(answer.status)
  list.replaceChildren()
  await read(answer, '\n', add)
}

async function run() {
  for (;;) {
    await follow(500).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 3000))
  }
}

filter.onsubmit = (event) => event.preventDefault()
filter.oninput = () => [...list.children].forEach((row) => (row.hidden = !matches(row)))
pause.onclick = () => {
  pause.ariaPressed = String(pause.ariaPressed !== 'true')
  if (pause.ariaPressed === 'false') add(held.splice(0))
}
list.scrollTop = list.scrollHeight
run()
