<?php
namespace App\Models;

use App\Base;

/** Writes to a log. */
trait Logs
{
    protected function log(string $line): void { strlen($line); }
}

interface Named {}

/**
 * A user.
 */
class User extends Base implements Named
{
    use Logs;

    public function __construct(private string $name)
    {
        parent::__construct();
        $this->log($name);
    }

    public static function make(string $name): self
    {
        return new self(clean($name));
    }

    public function copy(): self
    {
        self::make('a');
        static::make('b');
        $other = new User('c');
        return $other?->rename('d');
    }
}

function clean(string $name): string { return \trim($name); }
