local M = {}

--- Adds two numbers.
function M.add(a, b)
  return check(a) + b
end

function M:run()
  self:stop()
  M.add(1, 2)
end

M.stop = function(self)
  return other.call()
end

local function check(x)
  return string.format("%d", x)
end

function start()
  M:run()
  check(1)
end

return M
