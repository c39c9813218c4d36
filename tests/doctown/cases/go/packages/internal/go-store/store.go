package store

type Store struct{}

func Open() *Store { return &Store{} }

func New[T any](first T) *Store { return nil }

func (s *Store) Save() {}
