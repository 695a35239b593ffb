# Draws one figure with R's own graphics: the specification as JSON on standard input, plot areas as JSON on output.
suppressPackageStartupMessages(library(jsonlite))

spec <- fromJSON(file("stdin"), simplifyVector = FALSE)
look <- spec$look
colours <- unlist(look$colours)
set.seed(look$width + look$height + nchar(spec$path))

kinds <- if (look$dashes) c(1, 2, 3, 4, 5) else rep(1, 8)
marks <- c(16, 15, 17, 18, 1, 0, 2, 5)

named <- function(panel) unlist(lapply(panel$series, function(s) s$name))
xs <- function(series) sapply(series$points, function(p) p[[1]])
ys <- function(series) sapply(series$points, function(p) p[[2]])

key <- function(panel, ...) {
  names <- named(panel)
  if (is.null(names) || look$legend == "none") return(invisible())
  box <- if (look$frame) "o" else "n"
  width <- diff(par("usr")[1:2])
  place <- switch(look$legend, inside = paste0(look$corner[[1]], look$corner[[2]]), right = "topright", below = "bottom", top = "top")
  inset <- switch(look$legend, inside = 0.02, right = c(-9.5 * look$em / (par("pin")[1] * 96), 0),
    below = c(0, -5.8 * look$em / (par("pin")[2] * 96)), top = c(0, -2.2 * look$em / (par("pin")[2] * 96)))
  legend(place, legend = names, bty = box, inset = inset, xpd = NA,
    horiz = look$legend %in% c("below", "top"), cex = 0.9, ...)
}

frame_of <- function(panel, index) {
  x <- if (panel$horizontal) panel$x else panel$x
  at <- function(axis) c(axis$low, axis$high)
  logs <- paste0(if (panel$x$scale == "log") "x" else "", if (panel$y$scale == "log") "y" else "")
  plot(NULL, xlim = at(panel$x), ylim = at(panel$y), xlab = "", ylab = "", xaxs = "i", yaxs = "i", log = logs, axes = FALSE)
  if (look$grid) grid()
  if (panel$x$scale == "date") {
    dates <- as.Date(at(panel$x), origin = "1970-01-01")
    axis.Date(1, x = dates, las = if (look$rotate_ticks) 2 else 1)
  } else axis(1, las = if (look$rotate_ticks) 2 else 1)
  axis(2, las = if (look$theme == "grey") 1 else 0)
  if (look$frame) box() else box(bty = "l")
  title(xlab = panel$x$title, line = if (look$rotate_ticks) 4.4 else 2.6)
  title(ylab = panel$y$title, line = 2.8)
}

draw_lines <- function(panel, index) {
  frame_of(panel, index)
  for (i in seq_along(panel$series)) {
    x <- xs(panel$series[[i]])
    y <- ys(panel$series[[i]])
    if (length(look$errors) >= i) {
      half <- unlist(look$errors[[i]])
      if (look$band) polygon(c(x, rev(x)), c(y - half, rev(y + half)), border = NA, col = adjustcolor(colours[i], 0.25))
      else arrows(x, y - half, x, y + half, angle = 90, code = 3, length = 0.04, col = colours[i])
    }
    lines(x, y, col = colours[i], lty = kinds[i], lwd = look$line_px * 0.8)
    if (look$markers) points(x, y, col = colours[i], pch = marks[i])
  }
  key(panel, col = colours, lty = kinds[seq_along(panel$series)], lwd = look$line_px * 0.8,
    pch = if (look$markers) marks[seq_along(panel$series)] else NULL)
}

draw_scatter <- function(panel, index) {
  frame_of(panel, index)
  for (i in seq_along(panel$series)) {
    points(xs(panel$series[[i]]), ys(panel$series[[i]]), col = colours[i], pch = marks[i], cex = 1.1)
  }
  key(panel, col = colours, pch = marks[seq_along(panel$series)])
}

draw_bars <- function(panel, index) {
  values <- do.call(rbind, lapply(panel$series, ys))
  categories <- unlist(if (panel$horizontal) panel$y$categories else panel$x$categories)
  axis_ <- if (panel$horizontal) panel$x else panel$y
  across <- list(
    height = values, beside = panel$kind != "stacked_bar", horiz = panel$horizontal, names.arg = categories,
    col = colours[seq_len(nrow(values))], border = if (look$frame) "black" else NA, las = if (panel$horizontal) 1 else if (look$rotate_ticks) 2 else 1,
    yaxs = "i", xaxs = "r", axes = FALSE
  )
  limits <- c(axis_$low, axis_$high)
  if (panel$horizontal) across <- c(across, list(xlim = limits)) else across <- c(across, list(ylim = limits))
  if (panel$horizontal) { across$xaxs <- "i"; across$yaxs <- "r" }
  if (nrow(values) == 1) across$height <- values[1, ]
  middles <- do.call(barplot, across)
  axis(if (panel$horizontal) 1 else 2, las = if (look$theme == "grey") 1 else 0)
  if (look$frame) box()
  if (look$grid) if (panel$horizontal) grid(ny = NA, nx = NULL) else grid(nx = NA, ny = NULL)
  heights <- if (nrow(values) == 1) values[1, ] else values
  texts <- sprintf(paste0("%.", look$decimals, "f"), heights)
  if (look$values) if (panel$horizontal) text(heights, middles, texts, pos = 4, cex = 0.8)
    else text(middles, heights, texts, pos = 3, cex = 0.8, offset = 0.2)
  if (length(look$errors)) {
    half <- unlist(look$errors[[1]])
    arrows(middles, values[1, ] - half, middles, values[1, ] + half, angle = 90, code = 3, length = 0.05)
  }
  title(xlab = panel$x$title, line = if (look$rotate_ticks && !panel$horizontal) 4.4 else 2.6)
  title(ylab = panel$y$title, line = if (panel$horizontal) 5 else 2.8)
  key(panel, fill = colours[seq_len(nrow(values))])
}

draw_other <- function(panel) {
  low <- panel$y$low
  high <- panel$y$high
  values <- low + (high - low) * pmin(pmax(rnorm(240, 0.5, 0.18), 0), 1)
  label <- panel$y$title
  switch(spec$form,
    pie = pie(c(Alpha = 35, Beta = 27, Gamma = 21, Delta = 17), col = colours[1:4]),
    histogram = hist(values, breaks = 16, col = colours[1], xlab = label, main = ""),
    box_plot = boxplot(split(values, rep(1:4, 60)), names = c("A", "B", "C", "D"), col = colours[1:4], ylab = label),
    surface = persp(volcano[seq(1, 80, 3), seq(1, 60, 3)], theta = 40, phi = 25, col = colours[1], xlab = panel$x$title, zlab = label),
    heat_map = image(matrix(values, 20), col = hcl.colors(20), xlab = panel$x$title, ylab = label),
    mosaic = mosaicplot(Titanic, main = "", color = colours[1:2]),
    twin_axes = {
      plot(cumsum(values - low), type = "l", col = colours[1], lwd = 2, xlab = panel$x$title, ylab = label)
      par(new = TRUE)
      plot(900 / (1 + exp(-(1:240 - 90) / 30)), type = "l", col = colours[2], lwd = 2, axes = FALSE, xlab = "", ylab = "")
      axis(4)
      mtext("Count per day", 4, line = 2.5)
      legend("topleft", c("Total", "Count"), col = colours[1:2], lty = 1, lwd = 2)
    },
    broken_axis = {
      y <- c(4, 6, 5, 9, 7, 41, 43, 40)
      shown <- ifelse(y > 20, y - 25, y)
      plot(1:8, shown, type = "o", pch = 16, col = colours[1], yaxt = "n", xlab = panel$x$title, ylab = label)
      axis(2, at = c(2, 4, 6, 8, 10), labels = c(2, 4, 6, 8, 10))
      axis(2, at = c(15, 17, 19), labels = c(40, 42, 44))
      usr <- par("usr")
      rect(usr[1] - 0.1, 12, usr[1] + 0.1, 13, col = "white", border = NA, xpd = NA)
      segments(usr[1] - 0.15, c(11.7, 12.7), usr[1] + 0.15, c(12.3, 13.3), xpd = NA)
    }
  )
}

panels <- spec$panels
png(spec$path, width = look$width, height = look$height, res = 96, pointsize = look$font_pt, type = "cairo", bg = look$background)
areas <- list()
if (!is.null(panels[[1]]$abstain)) {
  if (spec$form == "twin_axes") par(mar = c(4, 4, 2, 4))
  draw_other(panels[[1]])
  if (!is.null(look$title)) title(look$title)
  areas <- list(c(0, 0, 1, 1))
} else {
  for (i in seq_along(panels)) {
    box_ <- unlist(spec$areas[[i]])
    plt <- c(box_[1] / look$width, box_[3] / look$width, 1 - box_[4] / look$height, 1 - box_[2] / look$height)
    par(fig = c(0, 1, 0, 1), plt = plt, new = i > 1)
    switch(panels[[i]]$kind, line = draw_lines, scatter = draw_scatter, draw_bars)(panels[[i]], i)
    if (!is.null(look$title) && i == 1) title(look$title)
    areas[[i]] <- box_
  }
}
invisible(dev.off())
cat(toJSON(areas, digits = 3))
