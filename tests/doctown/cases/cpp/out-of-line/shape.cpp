namespace geo {
namespace flat {

class Base {
public:
    virtual ~Base() = default;
    int id() const { return 1; }
};

// A shape with corners.
class Shape : public Base {
public:
    Shape(int corners);
    int corners() const;
    static Shape *make();

private:
    int corners_;
};

template <typename T>
T twice(T x) { return x + x; }

int twice(int x, int y) { return x + y; }

int once(int x) { return x; }

}  // namespace flat
}  // namespace geo

using namespace geo::flat;

geo::flat::Shape::Shape(int corners) : corners_(once(corners)) {}

int Shape::corners() const
{
    twice(2);
    return this->id() + corners_;
}

Shape *Shape::make()
{
    auto *made = new Shape(3);
    Shape::make();
    made->area();
    return made;
}
