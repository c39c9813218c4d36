; Ruby. Each capture names its handler in doctown/parsing/generic.py. A name without arguments may be a variable: no call.
(module) @module
(class) @class
(singleton_class) @singleton
(method) @function
(singleton_method) @function
(call) @call
