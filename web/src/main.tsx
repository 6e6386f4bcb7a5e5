import { createRoot } from 'react-dom/client';
import { App } from './app';
import { start } from './i18n';
import './theme.css';
import './shell/frame.css';
import './ui/parts.css';
import './pages/pages.css';

const root = document.getElementById('root');
if (root === null) {
  throw new Error('index.html has no #root');
}
await start();
createRoot(root).render(<App />);
