package price

// Default is the price
// of most things.
func Default() int { return Of(1) }

func Of(n int) int { return round(n) }
