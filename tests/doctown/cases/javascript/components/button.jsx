export default () => <button />;
