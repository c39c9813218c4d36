/** Light or dark: as the system has it, until somebody switches; the choice is remembered where the browser allows it. */
import { useEffect, useState } from 'preact/hooks'

const KEY = 'doctown-theme'
type Theme = 'light' | 'dark'

/** What was chosen before. Storage may be forbidden, at `file://` for one. */
function remembered(): Theme | null {
  try {
    const theme = localStorage.getItem(KEY)
    return theme === 'light' || theme === 'dark' ? theme : null
  } catch {
    return null
  }
}

function remember(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // It holds for this page then.
  }
}

function ofSystem(): Theme {
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}

/** Called before anything is drawn. */
export function applyRememberedTheme(): void {
  const theme = remembered()
  if (theme !== null) document.documentElement.dataset['theme'] = theme
}

export function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(remembered() ?? ofSystem())
  useEffect(() => {
    const media = matchMedia('(prefers-color-scheme: dark)')
    const follow = () => remembered() === null && setTheme(ofSystem())
    media.addEventListener('change', follow)
    return () => media.removeEventListener('change', follow)
  }, [])
  const other = theme === 'dark' ? 'light' : 'dark'
  const change = () => {
    document.documentElement.dataset['theme'] = other
    remember(other)
    setTheme(other)
  }
  return (
    <button
      type="button"
      class="theme"
      onClick={change}
      aria-label={`Use ${other} colours`}
      title={`Use ${other} colours`}
    >
      <span aria-hidden="true">{theme === 'dark' ? '☀' : '☾'}</span>
    </button>
  )
}
