import { Widget } from './widget.js';
import './debug.js';

new Widget().draw();
new Widget().log();
