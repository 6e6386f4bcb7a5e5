import './life.mjs';
import './images.mjs';
import { run } from './walk.mjs';

run('life-and-images');
