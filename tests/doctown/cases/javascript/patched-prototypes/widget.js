export class Widget {
	draw() {}
}
