//! Grey images in the terminal.

/// Two characters a pixel, so that pixels are about square.
const LEVELS: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];

/// Images of the same size, side by side: one line for each row of pixels, values from 0 to 1.
pub(crate) fn side_by_side(images: &[&[f32]], width: usize) -> Vec<String> {
    let height = images.first().map_or(0, |i| i.len() / width.max(1));
    let level = |v: f32| LEVELS[((v.clamp(0.0, 1.0) * 4.0).round() as usize).min(4)];
    (0..height)
        .map(|y| {
            let rows =
                images.iter().map(|i| i[y * width..(y + 1) * width].iter().map(|v| level(*v)).collect::<String>());
            format!("  {}", rows.collect::<Vec<_>>().join("   ")).trim_end().to_owned()
        })
        .collect()
}

/// Texts centred under the images.
pub(crate) fn captions(texts: &[String], width: usize) -> String {
    let cells = texts.iter().map(|t| format!("{t:^w$}", w = 2 * width));
    format!("  {}", cells.collect::<Vec<_>>().join("   ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels() {
        let images: [&[f32]; 2] = [&[0.0, 1.0, 0.5, 0.0], &[1.0, 1.0, 0.0, 0.25]];
        assert_eq!(side_by_side(&images, 2), ["    ██   ████", "  ▒▒       ░░"]);
        assert_eq!(captions(&["7".into(), "ab".into()], 2), "   7      ab");
    }
}
