export async function load() {
	const module = await import('./lazy.js');
	module.start();
	const { stop } = await import('./lazy.js');
	stop();
	import('./lazy.js').then((lazy) => lazy.start());
	(await import('./lazy.js')).default();
	await import(name);
}
