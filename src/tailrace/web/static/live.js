// One stream of events refreshes the parts of all tabs of a person (docs/web.md): whoever holds the lock follows the log.

const body = document.body
const { user, cursor } = body.dataset
const on = addEventListener
const tab = Math.random()
const wishes = new Map()
const dirty = new Map()
const known = new Set()
const gone = new Set()
const SILENCE_MS = 40000 // the service sends a heartbeat every 15 s
let last = cursor
let position = cursor
let bus, leading, accepted, connection, timer
let followed = []
let [heardAt, failures, retryMs, lostSince] = [0, 0, 1000, 0]

const parts = (id) => `${id}-0`.split('-').map(BigInt)
function isLater(a, b) {
  const [[x, m], [y, n]] = [parts(a), parts(b)]
  return x === y ? m > n : x > y
}

function channels() {
  const own = [...document.querySelectorAll('[data-channel]')].flatMap((part) => part.dataset.channel.split(' '))
  return [...new Set([`user:${user}`, ...own])].slice(0, 40)
}

// What each page does with an event.

function concerns(part, event) {
  const { channel, live, where = '' } = part.dataset
  const names = live.replaceAll(' ', '|').replaceAll('*', '.*')
  const [key, value] = where.split('=')
  return channel.split(' ').includes(event.channel) && RegExp(`^(${names})$`).test(event.name) && (!key || `${event.data[key]}` === value)
}

function deliver(event) {
  if (event.id) {
    if (!isLater(event.id, last)) return
    last = event.id
  }
  for (const part of document.querySelectorAll('[data-live]')) {
    if (event.name === 'reset' || concerns(part, event)) touch(part, event)
  }
}

function touch(part, event) {
  if (!dirty.size) setTimeout(refresh, document.hidden ? 3000 : 150)
  dirty.set(part, [...(dirty.get(part) ?? []), event].slice(-50))
}

function refresh() {
  const some = [...dirty]
  dirty.clear()
  for (const [part, events] of some) {
    if (part.isConnected) part.dispatchEvent(new CustomEvent('live', { detail: events }))
  }
}

function show(connected) {
  lostSince = connected ? 0 : lostSince || Date.now()
  body.dataset.connected = connected
  const sign = document.getElementById('connection')
  setTimeout(() => (sign.hidden = !lostSince || Date.now() - lostSince < 2500), connected ? 0 : 2600)
}

export const isTyped = (node) => 'defaultValue' in node && node.value !== node.defaultValue

// What one may no longer see is loaded anew, unless something that was typed would be lost: then `notice` says it.
function leave(notice) {
  if ([...document.querySelectorAll('input, textarea')].some(isTyped)) document.getElementById(notice).hidden = false
  else location.reload()
}

// What the leader does for all.

async function follow() {
  clearTimeout(timer)
  connection?.abort()
  const mine = (connection = new AbortController())
  // The service takes 50 channels; those of the newest tabs come first.
  const wanted = new Set([...wishes.values()].reverse().flat())
  followed = [...wanted].filter((name) => !gone.has(name)).slice(0, 50)
  try {
    const query = followed.map((name) => `channel=${name}`).join('&')
    const answer = await fetch(`/events?${query}`, { headers: { 'Last-Event-ID': position }, signal: mine.signal })
    if (answer.status === 401) tell({ connected: false, out: true })
    if (answer.status === 404) return await forget(mine)
    if (!answer.ok) throw new Error(answer.status)
    followed.forEach((name) => known.add(name))
    failures = 0
    heardAt = Date.now()
    tell({ connected: true })
    await read(answer, '\n\n', takeAll)
  } catch {
    failures += 1
  }
  if (mine !== connection) return
  tell({ connected: false })
  const wait = failures ? Math.min(15000, 500 * 2 ** failures) * (0.5 + Math.random() / 2) : retryMs
  timer = setTimeout(follow, wait)
}

export async function read({ body }, end, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const blocks = (rest + value).split(end)
    rest = blocks.pop()
    take(blocks)
  }
}

function takeAll(blocks) {
  heardAt = Date.now()
  blocks.forEach(take)
}

function take(block) {
  const message = {}
  for (const line of block.split('\n')) {
    const [, name, value] = line.match(/^(\w+): ?(.*)$/) ?? []
    if (name) message[name] = value
  }
  const { id, channel, event = 'drain', data, retry } = message
  // Denied is all of it if one channel is: it is asked for again, at once, to learn which.
  if (retry) retryMs = event === 'denied' ? 0 : Number(retry)
  if (id) position = id
  if (!/^(drain|reconnect|denied)$/.test(event)) tell({ event: { id, channel, name: event, data: JSON.parse(data) } })
}

async function forget(mine) {
  // One of the channels may not be followed any more, such as of a project that one was taken out of.
  for (const name of followed) {
    const probe = new AbortController()
    const { status } = await fetch(`/events?channel=${name}`, { signal: probe.signal })
    probe.abort()
    if (status !== 404) continue
    gone.add(name)
    if (known.has(name)) tell({ lost: name })
  }
  if (mine === connection) follow()
}

function tell(news) {
  bus?.postMessage(news)
  hear(news)
}

function hear({ event, connected, lost, out }) {
  if (event) deliver(event)
  if (connected !== undefined) show(connected)
  if (out || channels().includes(lost)) leave(out ? 'out' : 'lost')
}
on('signed-out', () => hear({ connected: false, out: true }))

function join() {
  const wish = { join: tab, channels: channels(), cursor: last }
  wishes.set(tab, wish.channels)
  accepted = false
  leading ? admit(wish) : bus?.postMessage(wish)
}

function admit({ join: who, channels: wanted, cursor }) {
  wishes.set(who, wanted)
  const covered = wanted.every((name) => gone.has(name) || followed.includes(name))
  const earlier = isLater(position, cursor)
  if (earlier) position = cursor
  if (earlier || !covered || lostSince) follow()
  tell({ accept: who, connected: Boolean(connection) && !lostSince })
}

function listen({ data }) {
  if (data.who) join()
  else if (data.join) leading && admit(data)
  else if (data.leave) wishes.delete(data.leave)
  else if (data.accept === tab) accepted = true
  if (accepted && !leading) hear(data)
}

function lead() {
  leading = true
  position = last
  bus?.postMessage({ who: tab })
  join()
  return new Promise(() => {})
}

function wake() {
  if (leading && (lostSince || Date.now() - heardAt > SILENCE_MS)) follow()
}

if (navigator.locks) {
  bus = new BroadcastChannel(`tailrace-live-${user}`)
  bus.onmessage = listen
  join()
  navigator.locks.request(`tailrace-live-${user}`, lead)
} else lead()
on('pagehide', () => {
  bus?.postMessage({ leave: tab })
  connection?.abort()
})
on('pageshow', (event) => event.persisted && location.reload())
on('offline', () => connection?.abort())
on('online', wake)
on('visibilitychange', wake)
on('htmx:afterSettle', () => wishes.get(tab).join() !== channels().join() && join())
setInterval(() => lostSince || wake(), 5000)
