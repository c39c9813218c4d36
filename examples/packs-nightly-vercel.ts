// app/api/cron/packs/route.ts: send the repositories to RunPod that have changed since their packs, from a Vercel site.
//
// The route asks GitHub for the newest commit of each repository in the index, sends a job for those that differ, and
// returns; the jobs go on by themselves, and a job of a repository that is under way already waits for it and buys
// nothing twice. `doctown bulk` writes the index. vercel.json:
// { "crons": [{ "path": "/api/cron/packs", "schedule": "17 3 * * *" }] }
// Settings: CRON_SECRET (Vercel sends it along), INDEX_URL (public address of docpacks/index.json), RUNPOD_API_KEY,
// RUNPOD_ENDPOINT_ID, and GITHUB_TOKEN, which may read the repositories.

export const dynamic = 'force-dynamic'

interface Entry {
  url: string
  ref: string | null
  subdir: string | null
  commit?: string | null
}

export async function GET(request: Request) {
  if (!process.env.CRON_SECRET || request.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) {
    return new Response('not allowed', { status: 401 })
  }
  const index = await fetch(process.env.INDEX_URL ?? '', { cache: 'no-store' })
  if (!index.ok) return new Response('the index cannot be read', { status: 502 })
  const { packs } = (await index.json()) as { packs: Record<string, Entry> }
  const sent: string[] = []
  const failed: string[] = []
  for (const entry of Object.values(packs)) {
    const newest = await newestCommit(entry)
    if (newest === null || newest === entry.commit) continue
    ;(await send(entry) ? sent : failed).push(entry.url)
  }
  return Response.json({ sent, failed }, { status: failed.length ? 502 : 200 })
}

/** The commit that a repository on GitHub is at, null where that cannot be seen. */
async function newestCommit({ url, ref }: Entry): Promise<string | null> {
  const { hostname, pathname } = new URL(url)
  if (hostname !== 'github.com') return null
  const repository = pathname.slice(1).replace(/\.git$/, '')
  const answer = await fetch(
    `https://api.github.com/repos/${repository}/commits/${encodeURIComponent(ref ?? 'HEAD')}`,
    { headers: { Authorization: `Bearer ${process.env.GITHUB_TOKEN}`, Accept: 'application/vnd.github.sha' } },
  )
  return answer.ok ? (await answer.text()).trim() : null
}

async function send({ url, ref, subdir }: Entry): Promise<boolean> {
  const answer = await fetch(`https://api.runpod.ai/v2/${process.env.RUNPOD_ENDPOINT_ID}/run`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${process.env.RUNPOD_API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ input: { repository: { url, ref, subdir } } }),
  })
  return answer.ok
}
