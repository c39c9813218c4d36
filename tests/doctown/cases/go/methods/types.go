package m

type Engine struct {
	*Base
	Logger
	Value  Value
	parts  []Part
	named  map[string]*Part
	starts func() *Part
}

type Base struct{ id int }

type Logger interface {
	Closer
	Log(text string) Part
}

type Closer interface {
	Close() error
}

type Value interface{ String() string }

type Part struct{}

type Level int

type Handler func(int) Part
