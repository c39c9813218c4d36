import Button from './button';
export const App = () => (
	<>
		<Button />
		<local.Thing />
	</>
);
const local = { Thing: () => null };
