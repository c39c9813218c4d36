export function load() {
	return 'x';
}
