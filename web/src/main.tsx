import { createRoot } from 'react-dom/client';
import { App } from './app';
import { start } from './i18n';
import './theme.css';

const root = document.getElementById('root');
if (root === null) {
  throw new Error('index.html has no #root');
}
await start();
createRoot(root).render(<App />);
