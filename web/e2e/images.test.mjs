import './images.mjs';
import { run } from './walk.mjs';

run('images');
