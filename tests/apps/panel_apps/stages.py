"""A pipeline as in Panel's guide: stages are objects of Python, made when they are gone to."""

import panel as pn
import param

pn.extension()


class First(param.Parameterized):
    level = param.Integer(default=1, bounds=(0, 9))

    @param.output(param.Integer())
    def before(self):
        return self.level

    @param.depends("level")
    def told(self):
        return pn.pane.Str(f"first {self.level}")

    def panel(self):
        return pn.Row(self.param, self.told)


class Second(param.Parameterized):
    before = param.Integer()
    more = param.Integer(default=1, bounds=(0, 9))

    @param.output(param.Integer())
    def after(self):
        return self.before + self.more

    @param.depends("more")
    def told(self):
        return pn.pane.Str(f"second {self.before} {self.more}")

    def panel(self):
        return pn.Row(self.param, self.told)


class Third(param.Parameterized):
    after = param.Integer()

    def panel(self):
        return pn.Row(f"third {self.after}")


pn.pipeline.Pipeline([("one", First), ("two", Second), ("three", Third)]).servable()
