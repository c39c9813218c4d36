export class Node {
	close() {}
}
