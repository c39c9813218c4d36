package m

func (b *Base) Start()  {}
func (b Base) Stop()    {}
func (p Part) Turn()    {}
func (p *Part) Next() (*Part, error) { return p, nil }
func (l Level) Up() Level { return l + 1 }
func (h Handler) Serve(n int) { h(n).Turn() }
func (e *Engine) Stop() { e.Base.Stop() }

func (e *Engine) Run(extra ...Part) (last Part, err error) {
	e.Start()
	e.Stop()
	e.Log("run").Turn()
	e.Close()
	e.Value.String()
	e.parts[0].Turn()
	e.named["a"].Turn()
	e.starts().Turn()
	for _, part := range e.parts {
		part.Turn()
	}
	for _, part := range extra {
		part.Turn()
	}
	if part, ok := e.named["b"]; ok {
		part.Turn()
	}
	next, err := e.parts[0].Next()
	next.Turn()
	last.Turn()
	Level(3).Up().Up()
	run := e.Start
	run()
	return
}

func inspect(x interface{}, ch chan Part) {
	switch y := x.(type) {
	case *Part:
		y.Turn()
	case Level, Value:
		y.String()
	}
	x.(*Base).Start()
	if b, ok := x.(Base); ok {
		b.Stop()
	}
	(<-ch).Turn()
	select {
	case part := <-ch:
		part.Turn()
	}
	var walk func(n int)
	walk = func(n int) { walk(n - 1) }
	walk(1)
	func() { inspect(nil, ch) }()
	go (&Base{}).Start()
	defer new(Base).Stop()
	made := make(map[string][]Part)
	made["a"][0].Turn()
	Handler(nil).Serve(1)
}

func each[T Closer](items []T, do func(T)) {
	for _, item := range items {
		item.Close()
		do(item)
	}
}
