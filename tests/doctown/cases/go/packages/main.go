// Package main sells.
package main

import (
	"fmt"

	"example.com/shop/v2/internal/go-store"
	. "example.com/shop/v2/tools"
	pricing "example.com/shop/v2/price"
	"github.com/other/price"
)

var limit = pricing.Default()

const Name, version = "shop", 2

func init() {
	prepare()
}

func init() {
	store.Open()
}

func main() {
	fmt.Println(limit)
	pricing.Of(1)
	price.Of(2)
	Hammer()
	helper()
	s := store.Open()
	s.Save()
	store.New[int](1)
}
