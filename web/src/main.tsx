//! Starts the page.

import { render } from 'preact'
import './style/index.css'
import { App } from './ui/app'

const root = document.getElementById('app')
if (root) render(<App />, root)
