package main

func helper() { prepare() }

func prepare() {}
