import './life.mjs';
import { run } from './walk.mjs';

run('life');
