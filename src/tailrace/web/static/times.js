// Times in the reader's own zone: how long ago, kept true, and the exact one on hover.

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' })
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const told = new Intl.RelativeTimeFormat('en-GB')
const STEPS = [[60, 'minute', 60], [24, 'hour', 3600], [31, 'day', 86400]]

function relative(moment) {
  const seconds = (moment - Date.now()) / 1000
  const amount = Math.abs(seconds)
  if (amount < 60) return seconds > 0 ? 'in a moment' : 'just now'
  for (const [limit, unit, size] of STEPS) {
    const count = Math.round(amount / size)
    if (count < limit) return told.format(seconds > 0 ? count : -count, unit)
  }
  return date.format(moment)
}

function localise() {
  for (const time of document.querySelectorAll('time[data-relative]')) {
    const moment = new Date(time.dateTime)
    const text = relative(moment)
    if (time.textContent !== text) time.textContent = text
    time.title = exact.format(moment)
  }
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
for (const field of document.querySelectorAll('input[name=time_zone][type=hidden]')) field.value = zone ?? ''
localise()
addEventListener('htmx:afterSettle', localise)
setInterval(localise, 30000)
