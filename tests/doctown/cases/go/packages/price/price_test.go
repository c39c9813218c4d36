package price_test

import (
	"testing"

	"example.com/shop/v2/price"
)

func TestOf(t *testing.T) {
	price.Of(1)
	round(2)
	t.Fatal("no")
}

func round(n int) {}
