import './spice.mjs';
import { run } from './walk.mjs';

run('spice');
