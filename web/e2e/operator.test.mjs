import './operator.mjs';
import { run } from './walk.mjs';

run('operator');
