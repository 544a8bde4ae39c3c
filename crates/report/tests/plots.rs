//! Tests of plots: places by hand, well-formed SVG, nothing dropped in silence, the data as they are.

use lapidary_report::plot::{Axis, Mark, Plot, Point, STYLE, Scale, Series, Tone};

fn series(name: &str, mark: Mark, tone: Tone, points: Vec<Point>) -> Series {
    Series { name: name.into(), mark, tone, points }
}

/// L0 1, 10, 100 against FVU 0, 0.5, 1.
fn pareto(mark: Mark) -> Plot {
    let points = vec![Point::new(1.0, 0.0), Point::new(10.0, 0.5), Point::new(100.0, 1.0)];
    Plot {
        title: "L0 against FVU".into(),
        x: Axis::new("L0", "features per row", Scale::Log),
        y: Axis::new("FVU", "", Scale::Linear),
        series: vec![series("3.res", mark, Tone::Colour(0), points)],
    }
}

/// Every tag closes in order, and no text holds a bare `<` or `&`.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        assert!(
            text.split('&').skip(1).all(|t| ["amp;", "lt;", "gt;", "quot;"].iter().any(|e| t.starts_with(e)))
        );
        let name = tag.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(!svg.contains("NaN\"") && !svg.contains("inf"), "{svg}");
}

/// Corners of the first polyline.
fn places(svg: &str) -> Vec<(f64, f64)> {
    let list = svg.split("<polyline points=\"").nth(1).unwrap().split('"').next().unwrap();
    list.split(' ')
        .map(|p| p.split_once(',').unwrap())
        .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
        .collect()
}

#[test]
fn a_decade_is_as_wide_as_the_next_and_more_is_higher() {
    let svg = pareto(Mark::Line).svg();
    assert_well_formed(&svg);
    let [a, b, c] = places(&svg)[..] else { panic!("{svg}") };
    // Equal steps of log10 and of FVU: the middle is halfway, to the tenth that is written.
    assert!(
        (a.0 + c.0 - 2.0 * b.0).abs() < 0.21 && (a.1 + c.1 - 2.0 * b.1).abs() < 0.21,
        "{a:?} {b:?} {c:?}"
    );
    // A margin of a twentieth on both sides: the three span 1/1.1 of the height of 220.
    assert!(a.0 < b.0 && a.1 > b.1 && (a.1 - c.1 - 200.0).abs() < 0.2);
    for said in
        ["L0 against FVU", "L0, features per row", "↑ FVU", ">3.res<", ">100<", "prefers-color-scheme:dark"]
    {
        assert!(svg.contains(said), "{said}");
    }
    assert!(!pareto(Mark::Line).inline_svg().contains("<style>") && STYLE.contains(".plot .grey"));
}

#[test]
fn what_cannot_be_drawn_is_counted() {
    let mut plot = pareto(Mark::Points);
    assert!(!plot.svg().contains("Not drawn"));
    plot.series[0].points.push(Point::new(0.0, 0.5));
    assert!(plot.svg().contains("Not drawn: 1 value that is not above 0 or not a number."));
    plot.series[0].points.push(Point::new(5.0, f64::NAN));
    plot.series[0].points.push(Point::new(5.0, f64::INFINITY));
    assert!(plot.svg().contains("Not drawn: 3 values"));
    assert_well_formed(&plot.svg());
    plot.series.clear();
    assert!(plot.svg().contains("There are no data."));
    assert_well_formed(&plot.svg());
}

/// One shape and one text for each point, at any tone; text of any kind is text.
#[test]
fn points_say_what_they_are() {
    let mut plot = pareto(Mark::Points);
    plot.series[0].name = "a<b & \"c\"".into();
    plot.series[0].points[1] = Point {
        y_interval: Some((0.4, 0.6)),
        x_interval: Some((9.0, 11.0)),
        label: "λ 0.003".into(),
        ..Point::new(10.0, 0.5)
    };
    let svg = plot.svg();
    assert_well_formed(&svg);
    assert_eq!(svg.matches("<title>").count(), 3);
    assert!(
        svg.contains("a&lt;b &amp; &quot;c&quot;, λ 0.003: L0 10.0 [9.0, 11.0], FVU 0.500 [0.400, 0.600]"),
        "{svg}"
    );
    // Two whiskers, of one point.
    assert_eq!(svg.matches("stroke-width=\"1.3\"").count(), 2);
    assert_eq!(
        plot.csv(),
        "series,label,\"L0, features per row\",L0 low,L0 high,FVU,FVU low,FVU high\n\
         \"a<b & \"\"c\"\"\",,1,,,0,,\n\"a<b & \"\"c\"\"\",λ 0.003,10,9,11,0.5,0.4,0.6\n\"a<b & \"\"c\"\"\",,100,,,1,,\n"
    );
}

#[test]
fn a_histogram_stands_on_its_floor_and_bars_on_zero() {
    let bin = |low: f64, high: f64, y: f64| Point { x_interval: Some((low, high)), ..Point::new(low, y) };
    let bins = vec![bin(0.001, 0.01, 3.0), bin(0.01, 0.1, 0.0), bin(0.1, 1.0, 6.0)];
    let plot = Plot {
        x: Axis::new("frequency", "share of rows", Scale::Log),
        y: Axis::new("features", "", Scale::FromZero),
        series: vec![series("", Mark::Steps, Tone::Colour(1), bins)],
        ..pareto(Mark::Steps)
    };
    let svg = plot.svg();
    assert_well_formed(&svg);
    let path = svg.split("<path d=\"M").find(|p| p.contains("fill-opacity=\"0.12\" stroke=")).unwrap();
    let heights: Vec<f64> = path
        .split('"')
        .next()
        .unwrap()
        .split('L')
        .map(|corner| corner.split(' ').nth(1).unwrap().parse().unwrap())
        .collect();
    // Floor, 3, 3, 0, 0, 6, 6, floor: an empty bin lies on the floor, 6 is twice as high as 3.
    let above: Vec<f64> = heights.iter().map(|y| heights[0] - y).collect();
    assert_eq!((above[3], above[4], above[7]), (0.0, 0.0, 0.0));
    assert!((above[5] - 2.0 * above[1]).abs() < 0.21 && above[1] > 50.0, "{above:?}");
    let names = Scale::Names(vec!["valid".into(), "a rather long name of a subset".into()]);
    let bars = vec![Point { y: 0.0, x: 2.0, ..Point::default() }, Point::new(4.0, 1.0)];
    let bars = Plot {
        x: Axis::new("n", "", Scale::FromZero),
        y: Axis::new("set", "", names),
        series: vec![series("", Mark::Bars, Tone::Colour(0), bars)],
        ..plot
    };
    let svg = bars.svg();
    assert_well_formed(&svg);
    let width = |n: usize| -> f64 {
        let bar = svg.split("<rect x=\"").nth(n).unwrap();
        bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    assert!((width(2) - 2.0 * width(1)).abs() < 0.21 && svg.contains("…"), "{svg}");
    assert!(
        bars.csv().ends_with(",,2,,,valid,,\n,,4,,,a rather long name of a subset,,\n"),
        "{}",
        bars.csv()
    );
}

/// A band has two corners for each point; a level crosses the whole picture; grey lies below.
#[test]
fn bands_levels_and_baselines() {
    let mut plot = pareto(Mark::Line);
    for p in &mut plot.series[0].points {
        p.y_interval = Some((p.y - 0.1, p.y + 0.1));
    }
    let level = Point { x: f64::NAN, y_interval: Some((0.2, 0.3)), ..Point::new(0.0, 0.25) };
    plot.series.push(series("frozen decoder", Mark::Level, Tone::Grey(1), vec![level]));
    let svg = plot.svg();
    assert_well_formed(&svg);
    let band = svg.split("<polygon points=\"").find(|p| p.contains("fill-opacity=\"0.18\"")).unwrap();
    assert_eq!(band.split('"').next().unwrap().split(' ').count(), 6);
    let marks = svg.rfind("class=\"grey\"").unwrap();
    assert!(marks < svg.rfind("class=\"c0\"").unwrap(), "what is grey is drawn first");
    assert!(!svg.contains("Not drawn"));
}
