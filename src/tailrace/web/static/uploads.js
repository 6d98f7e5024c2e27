// The tray: photos that this browser keeps until one of its tabs has sent them, by tus.

import { del, set, update, values } from './vendor/idb-keyval.js'

const { user } = document.body.dataset
const tray = document.getElementById('tray')
const [head, list, line, drop] = tray.querySelectorAll('[data-part]')
const words = tray.dataset
const bus = new BroadcastChannel('uploads')
const loose = new Set() // what the browser will not keep
const on = addEventListener
const rows = {}
const now = { id: 0 } // what is being sent
let [piece, failures, turn, retry] = [2 ** 18, 0, Promise.resolve()]

const items = async () => [...(await values().catch(() => [])), ...loose].filter((item) => item?.user === user)

async function take(files, { task }) {
  for (const given of [...files]) {
    const file = new File([await given.arrayBuffer().catch(() => given)], given.name) // kept, a file may be but a path
    const item = { id: Date.now() + Math.random(), user, file, task, state: task == null ? 'unplaced' : 'waiting' }
    await set(item.id, item).catch(() => loose.add(item))
    tell({})
  }
}

async function change(item, changes) {
  if (loose.has(item)) Object.assign(item, changes)
  else await update(item.id, (kept) => kept && { ...kept, ...changes }).catch(() => {})
  tell({})
}

async function remove(item) {
  loose.delete(item) || (await del(item.id))
  tell({})
}

function tell(data) {
  bus.postMessage(data)
  hear({ data })
}

function hear({ data }) {
  Object.assign(now, data)
  show()
  data.id ?? wake()
}

function wake() {
  turn = navigator.locks?.request('uploads', next) ?? turn.finally(next)
}

async function next() {
  const all = (await items()).filter(({ state }) => state === 'waiting')
  const item = all[(now.trouble === words.busy && failures) % all.length]
  const answer = item && (await send(item).catch(({ name }) => ({ status: /^Not/.test(name) ? 415 : 0 })))
  if (!answer) return
  const { status } = answer
  if (item.url && /404|410/.test(status)) return change(item, { url: '' })
  if (/^4(0[034]|1|2[^39])/.test(status) || (status === 409 && (failures || !item.url))) {
    const { detail } = (await answer.json?.().catch(() => {})) ?? words
    return change(item, { state: 'refused', url: '', said: `: ${detail}` })
  }
  tell({ id: 0, trouble: words[status] ?? words.busy })
  clearTimeout(retry)
  retry = setTimeout(wake, Math.min(15000, 500 * 2 ** failures++) * (1 + Math.random()))
}

async function send(item) {
  const { id, file, task } = item
  const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name)))
  const about = `filename ${name}${task && `,task ${btoa(task)}`}`
  let answer = await ask(item, item.url ? 'HEAD' : 'POST', { 'Upload-Length': file.size, 'Upload-Metadata': about })
  if (answer.status === 201) await change(item, { url: (item.url = answer.headers.get('Location')) })
  while (answer.ok) {
    const at = Number(answer.headers.get('Upload-Offset'))
    if (at && at === file.size) return remove(item, (failures = 0))
    if (rows[id]?.item.state !== 'waiting') return
    const began = Date.now()
    tell({ id, sent: at, trouble: '' })
    answer = await ask(item, 'PATCH', { 'Upload-Offset': at }, await file.slice(at, at + piece).arrayBuffer())
    piece = Date.now() < began + 1000 ? 2 * piece : 2 ** 16
  }
  return answer
}

function ask({ url }, method, more, body) {
  const headers = { 'Tus-Resumable': '1.0.0', 'Tailrace-User': user, 'Content-Type': 'application/offset+octet-stream', ...more }
  return fetch(url || '/uploads', { method, headers, body, signal: AbortSignal.timeout(15000) })
}

const word = (state, id) => (state === 'waiting' && (now.id === id ? words.sending : now.trouble)) || words[state]

async function show() {
  const all = await items()
  for (const id in rows) if (!all.some((item) => item.id == id)) rows[id].remove(delete rows[id], htmx.trigger(tray, 'sent'))
  for (const item of all) {
    const { id, file, state, said = '' } = item
    const row = (rows[id] ??= list.appendChild(line.content.firstChild.cloneNode(true)))
    const [name, told, bar] = row.children
    Object.assign(row, { item, className: state })
    name.textContent = file.name
    told.textContent = word(state, id) + said
    if (now.id === id) bar.value = now.sent / file.size
  }
  const told = Object.entries(Object.groupBy(all, ({ state }) => word(state)))
  const text = told.map(([state, { length }]) => `${length} ${state}`).join(', ')
  if (head.textContent !== text) head.textContent = text
  list.classList.toggle('loose', loose.size)
}

tray.onclick = ({ target }) => {
  const { act, task } = target.dataset
  const { item } = target.parentNode
  if (act === 'remove') remove(item)
  else if (act) change(item, { state: act, said: '' })
  else if (task != null) tray.querySelectorAll('.unplaced').forEach((row) => change(row.item, { task, state: 'waiting' }))
}
on('change', ({ target }) => {
  if (!target.matches('[data-uploads]')) return
  take(target.files, target.dataset)
  target.value = ''
})
on('paste', ({ clipboardData: data }) => data.getData('text') || take(data.files, drop.dataset))
on('dragenter', ({ dataTransfer: { types } }) => {
  drop.hidden = !types.includes('Files') || types.includes('text/html')
})
drop.ondragleave = drop.ondrop = () => setTimeout(() => (drop.hidden = true))
on('online', wake)
on('visibilitychange', wake)
bus.onmessage = hear
tell({})
