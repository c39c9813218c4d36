// app/api/cron/packs/route.ts: have the nightly packs built from a Vercel site.
//
// A function of Vercel ends after minutes and a run may take hours, so the route starts the GitHub workflow of
// packs-nightly.yml, which builds only what has changed, and returns. vercel.json:
// { "crons": [{ "path": "/api/cron/packs", "schedule": "17 3 * * *" }] }
// Settings: CRON_SECRET (Vercel sends it along), GITHUB_TOKEN (may start workflows of the repository),
// GITHUB_REPOSITORY (owner/name).

export const dynamic = 'force-dynamic'

export async function GET(request: Request) {
  if (!process.env.CRON_SECRET || request.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) {
    return new Response('not allowed', { status: 401 })
  }
  const workflow = `https://api.github.com/repos/${process.env.GITHUB_REPOSITORY}/actions/workflows/packs-nightly.yml`
  const answer = await fetch(`${workflow}/dispatches`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${process.env.GITHUB_TOKEN}`, Accept: 'application/vnd.github+json' },
    body: JSON.stringify({ ref: 'main' }),
  })
  return Response.json({ started: answer.ok }, { status: answer.ok ? 200 : 502 })
}
