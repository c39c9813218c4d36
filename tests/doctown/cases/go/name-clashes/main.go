package main

import (
	"bytes"
	"strings"
)

type Buffer struct{ len int }

func (b *Buffer) Write(p []byte) {}
func (b *Buffer) String() string { return "" }
func (b *Buffer) Flatten() {}
func (b *Buffer) len2() int      { return b.len }

func len2(b *Buffer) int { return len("a") }

func use(other bytes.Buffer, builder strings.Builder, unknown interface{ Do() }) {
	other.Write(nil)
	builder.String()
	unknown.Do()
	x := fetch()
	x.Flatten()
	string([]byte{})
	var b Buffer
	b.len2()
	len2(&b)
	close := func() {}
	close()
}
