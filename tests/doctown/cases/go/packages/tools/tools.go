package tools

func Hammer() {}
