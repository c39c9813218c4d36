/** Starts the viewer in the page. */
import { render } from 'preact'
import { App } from './app.js'
import { chooseSource } from './data/choose.js'
import { Store } from './data/store.js'
import { applyRememberedTheme } from './parts/theme.js'

applyRememberedTheme()
const root = document.getElementById('app')
if (root !== null) render(<App store={new Store(chooseSource(document))} />, root)
