import { Widget } from './widget.js';

const draw = Widget.prototype.draw;
Widget.prototype.draw = function () {
	this.log();
	draw.call(this);
};
Widget.prototype.log = function () {};
